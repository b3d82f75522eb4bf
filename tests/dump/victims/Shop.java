// Threads of a JVM, each blocked in its own way. `java Shop stuck` has one that never comes to a safepoint, and
// `java Shop virtual` one that carries a virtual thread.

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

public class Shop {
    static final Object stock = new Object();
    static final StringBuilder orders = new StringBuilder();
    static final Lock prices = new ReentrantLock();
    static final Lock taxes = new ReentrantLock();
    static final Lock till = new ReentrantLock();
    static final Object bell = new Object();
    static final List<Socket> kept = new ArrayList<>();

    interface Work {
        void run() throws Exception;
    }

    static void start(String name, Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception error) {
                error.printStackTrace();
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
    }

    static void countStock(CountDownLatch both) throws Exception {
        synchronized (stock) {
            both.countDown();
            both.await();
            synchronized (orders) {
                orders.append("never"); // waits for orders
            }
        }
    }

    static void takeOrders(CountDownLatch both) throws Exception {
        synchronized (orders) {
            both.countDown();
            both.await();
            synchronized (stock) {
                orders.append("never"); // waits for stock
            }
        }
    }

    static void lockBoth(Lock first, Lock second, CountDownLatch both) throws Exception {
        first.lock();
        both.countDown();
        both.await();
        second.lock(); // waits for the second
    }

    static void waitForBell() throws Exception {
        synchronized (bell) {
            bell.wait(); // waits for the bell
        }
    }

    static void sleepLong() throws Exception {
        Thread.sleep(600_000); // sleeps
    }

    static void sleepWithTill(CountDownLatch held) throws Exception {
        till.lock();
        held.countDown();
        Thread.sleep(600_000);
    }

    static void waitForTill() {
        till.lock(); // waits for the till
    }

    static void waitForCondition() throws Exception {
        Lock lock = new ReentrantLock();
        Condition open = lock.newCondition();
        lock.lock();
        open.await(); // waits for the condition
    }

    static void takeFromQueue() throws Exception {
        new ArrayBlockingQueue<String>(1).take(); // waits for the queue
    }

    static void connect(int port) throws Exception {
        new Socket().connect(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port)); // connects
    }

    // A listener that never accepts: when its queue is full, the next connection gets no answer.
    static int fullListener() throws Exception {
        InetAddress here = InetAddress.getByAddress(new byte[] {127, 0, 0, 1});
        ServerSocket listener = new ServerSocket(0, 1, here);
        for (int i = 0; i < 4; i++) {
            Socket socket = new Socket();
            try {
                socket.connect(new InetSocketAddress(here, listener.getLocalPort()), 200);
            } catch (java.net.SocketTimeoutException full) {
                break;
            }
            kept.add(socket);
        }
        keptListener = listener;
        return listener.getLocalPort();
    }

    static ServerSocket keptListener;
    static volatile int sum;

    // Compiled code without a place to stop at.
    static int count(int[] numbers) {
        int sum = 0;
        for (int i = 0; i < Integer.MAX_VALUE; i++) {
            for (int j = 0; j < numbers.length; j++) {
                sum += numbers[j] * (i ^ sum);
            }
        }
        return sum;
    }

    static void startVirtual(Runnable work) throws Exception {
        Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, work);
    }

    static void spin(CountDownLatch started) {
        started.countDown();
        for (;;) {
            sum++;
        }
    }

    static void waitForAll(String... names) throws Exception {
        for (String name : names) {
            for (;;) {
                Thread found = null;
                for (Thread thread : Thread.getAllStackTraces().keySet()) {
                    if (thread.getName().equals(name)) {
                        found = thread;
                    }
                }
                if (found != null && found.getState() != Thread.State.RUNNABLE && found.getState() != Thread.State.NEW) {
                    break;
                }
                Thread.yield();
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1 && arguments[0].equals("stuck")) {
            start("counter", () -> sum = count(new int[10_000]));
            System.out.println("ready");
            System.in.read();
            return;
        }
        if (arguments.length == 1 && arguments[0].equals("virtual")) {
            CountDownLatch started = new CountDownLatch(1);
            startVirtual(() -> spin(started));
            started.await();
            System.out.println("ready");
            System.in.read();
            return;
        }
        start("bell \"waiter\" with a long name", Shop::waitForBell);
        start("sleeper", Shop::sleepLong);
        start("condition", Shop::waitForCondition);
        start("queue", Shop::takeFromQueue);
        CountDownLatch held = new CountDownLatch(1);
        start("till-keeper", () -> sleepWithTill(held));
        held.await();
        start("till-waiter", Shop::waitForTill);
        waitForAll("bell \"waiter\" with a long name", "sleeper", "condition", "queue", "till-keeper", "till-waiter");
        CountDownLatch both = new CountDownLatch(2);
        start("counter", () -> countStock(both));
        start("taker", () -> takeOrders(both));
        CountDownLatch second = new CountDownLatch(2);
        start("pricer", () -> lockBoth(prices, taxes, second));
        start("taxer", () -> lockBoth(taxes, prices, second));
        waitForAll("counter", "taker", "pricer", "taxer");
        int port = fullListener();
        start("connector", () -> connect(port));
        System.out.println("ready");
        System.in.read(); // reads
    }
}
