const http = require("http");

const server = http.createServer((request, response) => response.end("ok"));
server.listen(8080, process.env.CORPUS_HOST, () => console.log("ready"));
