require "monitor"

Thread.new { loop { sleep 0.2 } }

class Catalogue
  def initialize
    @index = Mutex.new
    @store = Mutex.new
    @met = Queue.new
  end

  def reindex(first, second, mine, other)
    first.synchronize do
      mine << true
      other.pop
      second.synchronize { }
    end
  end

  def run
    a, b = Queue.new, Queue.new
    one = Thread.new { reindex(@index, @store, a, b) }
    two = Thread.new { reindex(@store, @index, b, a) }
    [one, two].each(&:join)
  end
end

Catalogue.new.run
