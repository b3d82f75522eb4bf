def migrate
  system('sleep 600')
end

migrate
