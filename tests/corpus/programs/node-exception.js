function loadConfig(text) {
  return JSON.parse(text);
}

loadConfig('{ "port": ');
