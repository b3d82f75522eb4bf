def wait_for_work(queue)
  queue.pop
end

Thread.new { loop { sleep 0.3 } }
wait_for_work(Queue.new)
