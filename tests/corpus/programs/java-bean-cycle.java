import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

class Main {
    static final Map<String, Object> singletons = new HashMap<>();
    static final Object lazy = new Object();
    static final CountDownLatch both = new CountDownLatch(2);

    static Object getBean(String name) {
        synchronized (singletons) {
            meet();
            synchronized (lazy) {
                return singletons.get(name);
            }
        }
    }

    static void initLazy() {
        synchronized (lazy) {
            meet();
            getBean("dataSource");
        }
    }

    static void meet() {
        both.countDown();
        try {
            both.await();
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    public static void main(String[] arguments) {
        new Thread(Main::initLazy, "bean-init").start();
        getBean("web");
    }
}
