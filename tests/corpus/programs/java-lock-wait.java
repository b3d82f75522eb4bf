class Main {
    static final Object CACHE = new Object();

    static void fill(Thread waiter) {
        synchronized (CACHE) {
            waiter.start();
            try {
                Thread.sleep(600_000);
            } catch (InterruptedException interrupted) {
                return;
            }
        }
    }

    static void read() {
        synchronized (CACHE) {
            System.out.println("never");
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        Thread reader = new Thread(Main::read, "reader");
        fill(reader);
    }
}
