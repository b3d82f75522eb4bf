import java.util.concurrent.CountDownLatch;

class Main {
    static final Object ACCOUNTS = new Object(), ORDERS = new Object();
    static final CountDownLatch BOTH = new CountDownLatch(2);

    static void take(Object first, Object second) {
        synchronized (first) {
            BOTH.countDown();
            try {
                BOTH.await();
            } catch (InterruptedException interrupted) {
                return;
            }
            synchronized (second) {
                System.out.println("never");
            }
        }
    }

    public static void main(String[] arguments) {
        new Thread(() -> take(ACCOUNTS, ORDERS), "accounts").start();
        take(ORDERS, ACCOUNTS);
    }
}
