class Buffer
  def initialize
    @mutex = Mutex.new
    @lines = []
  end

  def publish(begun)
    @mutex.synchronize do
      begun << :begun
      loop { sleep 300 }
    end
  end

  def size
    @mutex.synchronize { @lines.size }
  end
end

buffer = Buffer.new
begun = Queue.new
Thread.new { buffer.publish(begun) }
begun.pop
puts buffer.size
