exec my-servce --port 8080
