// Stands for nats-server: reads its port from the configuration, greets, and hears hang-ups as the file `manner` beside the
// configuration says: `deaf` so many, and `chatty` so many bytes of log behind the word that it has heard one.
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";

const config = process.argv[3];
const besideConfig = (name) => join(dirname(config), name);
const [, port] = /^port: (\d+)$/m.exec(readFileSync(config, "utf8"));
let heard = 0;
process.on("SIGHUP", () => {
  heard += 1;
  const { deaf, chatty, refuses } = JSON.parse(readFileSync(besideConfig("manner"), "utf8"));
  const word = refuses
    ? "[ERR] Failed to reload server configuration: no such user"
    : "[INF] Reloaded server configuration";
  const said = heard > deaf ? `${word}\n${"[TRC] a message\n".repeat(chatty / 16)}` : "";
  appendFileSync(besideConfig("nats-server.log"), said);
  appendFileSync(besideConfig("heard"), `${process.pid}\n`);
});
process.on("SIGTERM", () => process.exit(0));
createServer((socket) => {
  socket.on("error", () => {});
  socket.end("INFO {}\r\n");
}).listen(Number(port), "127.0.0.1");
