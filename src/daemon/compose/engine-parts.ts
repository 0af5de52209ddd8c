// Creates the share engine and its parts: prober, host prober, mount table, drivers. The daemon and commands
// use the same parts.

import { readLinks } from "../../network/discover/links.ts";
import { createNetworkLocation } from "../../network/location/network-location.ts";
import { sendMagicPacket } from "../../network/location/wake-packet.ts";
import { createHostProber } from "../../network/probe/host-prober.ts";
import { checkLocalNetwork } from "../../network/probe/local-network.ts";
import type { StateStore } from "../../reconcile/state-store.ts";
import { connectRelay } from "../../relay/client/relay-client.ts";
import { createDisposalStack } from "../../runtime/disposal.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { createFsDriver } from "../../shares/drivers/fs/fs.ts";
import { createLocalDriver } from "../../shares/drivers/local/local.ts";
import type { MountDriver } from "../../shares/drivers/mount-driver.ts";
import { createNetfsDriver } from "../../shares/drivers/netfs/netfs.ts";
import { createProgramLogs } from "../../shares/drivers/program-logs.ts";
import { createFormerShares } from "../../shares/drivers/rclone/caches.ts";
import { createMetadataFlusher } from "../../shares/drivers/rclone/metadata-flusher.ts";
import { createMetadataRefresh } from "../../shares/drivers/rclone/metadata-refresh.ts";
import { createRcloneDriver } from "../../shares/drivers/rclone/rclone.ts";
import { withUnsentOfRclone } from "../../shares/drivers/rclone/unsent-left-behind.ts";
import { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { SharePrograms } from "../../shares/engine/share-subject.ts";
import { createStableLinks } from "../../shares/links/stable-links.ts";
import { createLogins } from "../../shares/logins/logins.ts";
import { createMountClaims } from "../../shares/mounts/mount-claims.ts";
import { createMountTable } from "../../shares/mounts/mount-table.ts";
import type { ShareTransition } from "../../shares/policy/share-transitions.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import { startProber } from "../../shares/prober/prober-process.ts";
import { createServerProofs } from "../../shares/server-proof/server-proofs.ts";
import type { DriverName } from "../../shares/share-spec.ts";
import { createRelayAdapter } from "./relay-adapter.ts";

/** Deadline of a name look-up, ms. */
const RESOLVE_MS = 5000;

interface PartsOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly memory: StateStore;
  /** A prober that its owner ends. Default: starts one that ends with the parts. */
  readonly prober?: Prober;
  readonly forceStop: AbortSignal;
  readonly announce: (transition: ShareTransition) => void;
  readonly onCycle?: (share: string) => void;
  readonly programs?: SharePrograms;
  /** False: only looks, also for long; a daemon may be in charge beside it. Default: true. */
  readonly isInCharge?: boolean;
}

export type EngineParts = ReturnType<typeof startEngineParts>;

export function startEngineParts(options: PartsOptions) {
  const { home, clock, logger, forceStop, isInCharge = true } = options;
  const stack = createDisposalStack((error) =>
    logger.warn("engine did not end cleanly", { reason: errorText(error) }),
  );
  const prober = options.prober ?? stack.use(startProber({ clock, logger }));
  const hostProber = stack.use(
    checkLocalNetwork(
      createHostProber({ clock, logger, resolve: (host) => prober.resolve(host, RESOLVE_MS) }),
      { clock },
    ),
  );
  const location = createNetworkLocation({ clock, links: readLinks(forceStop) });
  const mountTable = createMountTable({ clock });
  const relayControl = stack.use(connectRelay({ home, clock, logger, isInCharge }));
  const addressesOf = (host: string): readonly string[] => hostProber.addressesOf(host);
  const shared = { clock, logger, stateFolder: home };
  const flusher = createMetadataFlusher({ clock, logger });
  const smb = { clock, logger, prober, mountTable, addressesOf };
  const drivers: Record<DriverName, MountDriver> = {
    rclone: createRcloneDriver({ ...smb, stateFolder: home, flusher }),
    local: withUnsentOfRclone(createLocalDriver({ clock, prober, mountTable, stateFolder: home }), shared),
    netfs: createNetfsDriver(smb),
    fs: withUnsentOfRclone(createFsDriver({ ...smb, stateFolder: home }), shared),
  };
  const claims = stack.use(createMountClaims({ home, logger }));
  const logins = createLogins(clock);
  const serverProof = createServerProofs({ clock, logger, stateFolder: home, logins, hostProber });
  const relay = createRelayAdapter(logger, relayControl);
  const engine = stack.use(
    new ShareEngine({
      ...options,
      // netfs is last, because it claims every mount at a share's path.
      drivers: [drivers.rclone, drivers.fs, drivers.local, drivers.netfs],
      hostProber,
      location,
      sendWakePacket: sendMagicPacket,
      prober,
      relay,
      serverProof,
      logins,
      links: createStableLinks(clock, prober),
      claims,
    }),
  );
  if (!isInCharge) engine.rest();
  return {
    engine,
    recount: async (): Promise<void> => {
      if (relayControl.shares.size > 0) await relay.recount();
    },
    hostProber,
    location,
    drivers,
    prober,
    mountTable,
    programLogs: createProgramLogs(shared),
    metadataRefresh: createMetadataRefresh({ ...shared, flusher }),
    formerShares: createFormerShares(shared),
    logins,
    serverProof,
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}
