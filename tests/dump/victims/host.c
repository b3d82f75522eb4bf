/* Runs .NET by its interface for hosts, and has it read a line that never comes. The argument is the folder of the runtime. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int initialize(const char *, const char *, int, const char **, const char **, void **, unsigned *);
typedef int create_delegate(void *, unsigned, const char *, const char *, const char *, void **);

/* All assemblies of a folder, with colons between. */
static char *assemblies(const char *folder) {
  char *list = calloc(1, 1 << 20);
  DIR *directory = opendir(folder);
  if (!list || !directory) exit(1);
  for (struct dirent *entry; (entry = readdir(directory));) {
    const char *ending = strrchr(entry->d_name, '.');
    if (ending && !strcmp(ending, ".dll")) {
      size_t used = strlen(list);
      snprintf(list + used, (1 << 20) - used, "%s/%s:", folder, entry->d_name);
    }
  }
  return list;
}

int main(int count, char **arguments) {
  char path[4096];
  if (count < 2) return 2;
  snprintf(path, sizeof path, "%s/libcoreclr.so", arguments[1]);
  void *runtime = dlopen(path, RTLD_NOW);
  if (!runtime) return 1;
  initialize *start = (initialize *)dlsym(runtime, "coreclr_initialize");
  create_delegate *find = (create_delegate *)dlsym(runtime, "coreclr_create_delegate");
  const char *keys[] = {"TRUSTED_PLATFORM_ASSEMBLIES", "System.Globalization.Invariant"};
  const char *values[] = {assemblies(arguments[1]), "true"};
  void *host, *read_line;
  unsigned domain;
  if (start(arguments[0], "shop", 2, keys, values, &host, &domain) < 0) return 1;
  if (find(host, domain, "System.Console", "System.Console", "ReadLine", &read_line) < 0) return 1;
  puts("ready");
  fflush(stdout);
  ((char *(*)(void))read_line)();
  return 0;
}
