import java.net.InetAddress;

class Main {
    static InetAddress findDatabase() throws Exception {
        return InetAddress.getByName("db.shop.internal");
    }

    public static void main(String[] arguments) throws Exception {
        findDatabase();
    }
}
