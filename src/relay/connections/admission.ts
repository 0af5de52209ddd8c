// Accepts connections of the user who may use the share.
import type { Socket } from "node:net";
import { errorText } from "../../runtime/errors.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";
import type { RouteState } from "./route-state.ts";
import type { ShareContext } from "./share-settings.ts";

/** Far above the number that SMB clients open; a busy connection costs up to 130 KB. */
const CONNECTIONS_AT_MOST = 2_000;

export function createAdmission(share: ShareContext, route: RouteState, admit: (client: Socket) => void) {
  let admitting = 0;
  let connectionsInAll = 0;
  const isRefusing = (): boolean =>
    share.closed || route.phase === "refusing" || share.logins.refused !== null;
  const onConnection = (client: Socket): void => {
    client.on("error", () => {});
    connectionsInAll += 1;
    if (isRefusing() || share.connections.size + admitting >= CONNECTIONS_AT_MOST) {
      resetSocket(client);
      return;
    }
    admitting += 1;
    void isAllowed(share, client).then((allowed) => {
      admitting -= 1;
      if (!allowed || client.destroyed || isRefusing()) resetSocket(client);
      else admit(client);
    });
  };

  return {
    onConnection,
    get connectionsInAll() {
      return connectionsInAll;
    },
  };
}

async function isAllowed({ settings, owners, uid, logger }: ShareContext, client: Socket): Promise<boolean> {
  const { share, kind, port } = settings;
  const { remoteAddress, remotePort } = client;
  if (remoteAddress === undefined || remotePort === undefined) return false;
  try {
    const owner = await owners.ownerOf(remoteAddress, remotePort, port);
    if (owner === uid || (owner === 0 && kind === "cifs")) return true;
    logger.warn("a connection was refused", { share, uid: owner });
  } catch (error) {
    logger.warn("the owner of a connection cannot be found", { share, error: errorText(error) });
  }
  return false;
}
