# Threads of a Ruby, each blocked in its own way. Before it says that it is ready it writes what it knows of them itself.

require "socket"

$stdout.sync = true

class Shop
  attr_reader :stock, :orders

  def initialize
    @stock = Mutex.new
    @orders = Mutex.new
    @both = Queue.new
    @full = TCPServer.new("127.0.0.1", 0)
    @full.listen(0)
    @kept = []
  end

  def count_stock
    @stock.synchronize do
      meet
      @orders.lock # waits for orders
    end
  end

  def take_orders
    @orders.synchronize do
      meet
      @stock.lock # waits for stock
    end
  end

  # Waits until the other one is here too.
  def meet
    @both << 1
    Thread.pass until @both.size == 2
  end

  def self.sleep_long
    sleep # sleeps
  end

  def take_from_queue
    Queue.new.pop # waits for the queue
  end

  def wait_for_condition
    mutex = Mutex.new
    condition = ConditionVariable.new
    mutex.synchronize { condition.wait(mutex) } # waits for the condition
  end

  def read_pipe
    @pipe = IO.pipe
    @pipe[0].read(1) # reads the pipe
  end

  def connect
    loop do
      @kept << TCPSocket.new("127.0.0.1", @full.addr[1]) # connects
    end
  end

  def deep(left)
    return [3].each { |_| 1.times { sleep } } if left.zero? # sleeps deeply
    begin
      deep(left - 1)
    ensure
      left
    end
  end
end

# A function with more code than the first part of its table of lines holds.
lines = (1..300).map { |n| "  x = #{n}\n" }.join
eval("def long_function\n#{lines}  sleep\nend", binding, "/srv/long.rb", 1)

def written(locations)
  locations.map { |l| [l.absolute_path || l.path, l.lineno, l.label].join("\t") }.join("\v")
end

shop = Shop.new
threads = {
  "counter" => -> { shop.count_stock },
  "taker" => -> { shop.take_orders },
  "sleeper" => -> { Shop.sleep_long },
  "queue with a name that is longer than the others" => -> { shop.take_from_queue },
  "condition" => -> { shop.wait_for_condition },
  "pipe" => -> { shop.read_pipe },
  "connector" => -> { shop.connect },
  "deep" => -> { shop.deep(40) },
  "long" => -> { long_function },
}.map do |name, work|
  Thread.new(&work).tap { |thread| thread.name = name }
end
Thread.pass until threads.all? { |thread| thread.status == "sleep" && thread.backtrace_locations.size > 2 }
connecting = threads.find { |thread| thread.name == "connector" }
# The connector is blocked for good when its stack has been the same for a while.
same = 0
last = nil
while same < 1000
  now = [shop.instance_variable_get(:@kept).size, written(connecting.backtrace_locations)]
  same = now == last ? same + 1 : 0
  last = now
  Thread.pass
end
threads.each do |thread|
  tid = thread.respond_to?(:native_thread_id) ? thread.native_thread_id : 0
  puts ["thread", tid, thread.name, thread.status, written(thread.backtrace_locations)].join("\f")
end
def main_waits
  puts ["thread", Process.pid, "", "sleep", written(caller_locations(0))].join("\f"); puts "ready"; $stdin.gets # reads
end
main_waits
