import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.ReentrantLock;

class Main {
    static final ReentrantLock ACCOUNTS = new ReentrantLock(), ORDERS = new ReentrantLock();
    static final CountDownLatch BOTH = new CountDownLatch(2);

    static void take(ReentrantLock first, ReentrantLock second) {
        first.lock();
        BOTH.countDown();
        try {
            BOTH.await();
        } catch (InterruptedException interrupted) {
            return;
        }
        second.lock();
    }

    public static void main(String[] arguments) {
        new Thread(() -> take(ACCOUNTS, ORDERS), "accounts").start();
        take(ORDERS, ACCOUNTS);
    }
}
