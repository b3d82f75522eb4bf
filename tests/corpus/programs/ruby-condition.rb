class Cache
  def initialize
    @lock = Mutex.new
    @filled = ConditionVariable.new
  end

  def wait_until_filled
    @lock.synchronize { @filled.wait(@lock) }
  end
end

Thread.new { loop { sleep 0.5 } }
Cache.new.wait_until_filled
