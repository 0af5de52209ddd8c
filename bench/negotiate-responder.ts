// Hosts that only answer SMB2 NEGOTIATE, so that a bench measures the daemon and not a server.
import { createServer } from "node:net";

const count = Number(process.argv[2]);
const answer = Buffer.alloc(4 + 64 + 65);
answer.writeUInt32BE(64 + 65, 0);
answer.write("\xfeSMB", 4, "latin1");
answer.writeUInt16LE(64, 4 + 4);
answer.writeUInt32LE(1, 4 + 16);
answer.writeUInt16LE(65, 4 + 64);
answer.writeUInt16LE(0x0302, 4 + 64 + 4);

const ports = await Promise.all(
  Array.from({ length: count }, (_, index) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(answer));
    });
    return new Promise<number>((resolve) => {
      server.listen(0, `127.0.1.${index + 1}`, () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  }),
);
process.send?.(ports);
process.on("disconnect", () => process.exit());
