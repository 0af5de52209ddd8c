// Something that listens at a home's socket and is no daemon.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

/** Does with each connection what `onConnection` says; resolves with the home. */
export async function startImposter(
  t: Scope,
  onConnection: (socket: Socket) => void,
  home?: string,
): Promise<string> {
  const folder = home ?? (await temporaryFolder(t));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    onConnection(socket);
  }).listen(join(folder, "mountaineer.sock"));
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return folder;
}
