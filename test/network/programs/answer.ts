// A program that answers NEGOTIATE on port 445 of every address it has, and says when it listens.
import { createServer } from "node:net";
import { answerNegotiate } from "../tcp-peer.ts";

createServer((socket) => {
  socket.on("error", () => {});
  answerNegotiate(socket);
}).listen(445, "::", () => process.stdout.write("listening\n"));
