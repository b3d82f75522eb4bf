def load_config
  ENV.fetch('DATABASE_URL')
end

load_config
