require('http').createServer().listen(9090, process.env.CORPUS_HOST);
