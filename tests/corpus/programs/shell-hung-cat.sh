settings=$(cat hung/settings)
exec my-service "$settings"
