def take_lock
  File.open(ENV['CORPUS_LOCK'], 'w').flock(File::LOCK_EX)
end

take_lock
