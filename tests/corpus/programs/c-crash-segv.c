static int *table;

int main(void) { return table[1 << 20]; }
