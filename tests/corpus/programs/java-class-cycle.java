import java.util.concurrent.CyclicBarrier;

class Main {
    static final CyclicBarrier both = new CyclicBarrier(2);

    static void meet() {
        try {
            both.await();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    static class Config {
        static final int SIZE;
        static {
            meet();
            SIZE = Registry.COUNT + 1;
        }
    }

    static class Registry {
        static final int COUNT;
        static {
            meet();
            COUNT = Config.SIZE + 1;
        }
    }

    public static void main(String[] arguments) {
        new Thread(() -> System.out.println(Registry.COUNT), "registry").start();
        System.out.println(Config.SIZE);
    }
}
