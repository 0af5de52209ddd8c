// Stands for nats-server: reads its port from the configuration, greets, and hears hang-ups as the file `manner` beside it
// says: not the first `deaf`, then in a line that comes in two pieces, with `chatty` bytes of log behind it.
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";

const config = process.argv[3];
const besideConfig = (name) => join(dirname(config), name);
const [, port] = /^port: (\d+)$/m.exec(readFileSync(config, "utf8"));
let heard = 0;
process.on("SIGHUP", () => {
  heard += 1;
  const { deaf, chatty, refuses, dies } = JSON.parse(readFileSync(besideConfig("manner"), "utf8"));
  if (dies) process.exit(1);
  const log = besideConfig("nats-server.log");
  appendFileSync(besideConfig("heard"), `${process.pid}\n`);
  if (heard <= deaf) return;
  const word = refuses ? "[ERR] Failed to reload server conf" : "[INF] Reloaded server conf";
  appendFileSync(log, word);
  // Whoever looks meanwhile sees half a line.
  setTimeout(() => {
    const end = refuses ? "iguration: no such user\n" : "iguration\n";
    appendFileSync(log, end + "[TRC] a message\n".repeat(chatty / 16));
  }, 150);
});
process.on("SIGTERM", () => process.exit(0));
createServer((socket) => {
  socket.on("error", () => {});
  socket.end("INFO {}\r\n");
}).listen(Number(port), "127.0.0.1");
