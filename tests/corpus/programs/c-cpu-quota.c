static volatile unsigned long steps;

static void warm_up(void) {
    while (steps < 1000000000000ul) steps++;
}

int main(void) { warm_up(); }
