static volatile unsigned long steps;

static void find_free_slot(void) {
    for (;;) steps++;
}

int main(void) { find_free_slot(); }
