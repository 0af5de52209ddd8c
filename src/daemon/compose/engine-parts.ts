// The parts of the share engine: prober, host prober, mount table, drivers. Daemon and commands use the same.
import { connectCarrier } from "../../carrier/client/carrier-client.ts";
import { readLinks } from "../../network/discover/links.ts";
import { createPlace } from "../../network/place/place.ts";
import { sendMagicPacket } from "../../network/place/wake-packet.ts";
import { createHostProber } from "../../network/probe/host-prober.ts";
import { checkLocalNetwork } from "../../network/probe/local-network.ts";
import type { Memory } from "../../reconcile/memory.ts";
import { createDisposalStack } from "../../runtime/disposal.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { createCifsDriver } from "../../shares/drivers/cifs/cifs.ts";
import { createLocalDriver } from "../../shares/drivers/local/local.ts";
import type { MountDriver } from "../../shares/drivers/mount-driver.ts";
import { readCarryProof } from "../../shares/drivers/netfs/carry-proof.ts";
import { createNetfsDriver } from "../../shares/drivers/netfs/netfs.ts";
import { createFormerShares } from "../../shares/drivers/rclone/caches.ts";
import { createRcloneLogs } from "../../shares/drivers/rclone/logs.ts";
import { createNoteKeeper } from "../../shares/drivers/rclone/note-keeper.ts";
import { createNoteWriter } from "../../shares/drivers/rclone/note-writer.ts";
import { createRcloneDriver } from "../../shares/drivers/rclone/rclone.ts";
import { withUnsentOfRclone } from "../../shares/drivers/rclone/unsent-left-behind.ts";
import { leavingGvfsAlone } from "../../shares/drivers/smb-mounts.ts";
import { createShareEngine } from "../../shares/engine/share-engine.ts";
import type { SharePrograms } from "../../shares/engine/share-subject.ts";
import { blocked, ensureStableLink, judgeLink } from "../../shares/links/stable-link.ts";
import type { StableLinks } from "../../shares/links/stable-links.ts";
import { createLogons } from "../../shares/logons/logons.ts";
import { createMountClaims } from "../../shares/mounts/mount-claims.ts";
import { createMountTable } from "../../shares/mounts/mount-table.ts";
import { withGvfsShares } from "../../shares/mounts/mount-table-gvfs.ts";
import type { LinkBlocked } from "../../shares/policy/share-seen.ts";
import type { ShareTransition } from "../../shares/policy/share-transitions.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import { startProber } from "../../shares/prober/prober-process.ts";
import { createServerProof } from "../../shares/server-proof/server-proof.ts";
import type { DriverName } from "../../shares/share-spec.ts";
import { createCarriage } from "./carriage.ts";

/** How long a name server may take, ms. */
const RESOLVE_MS = 5000;

interface PartsOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly memory: Memory;
  /** Its caller ends it. Default: one that ends with the parts. */
  readonly prober?: Prober;
  readonly forceStop: AbortSignal;
  readonly announce: (transition: ShareTransition) => void;
  readonly onCycle?: (share: string) => void;
  readonly programs?: SharePrograms;
}

export type EngineParts = ReturnType<typeof startEngineParts>;

export function startEngineParts(options: PartsOptions) {
  const { home, clock, logger, forceStop } = options;
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
  const place = createPlace({ clock, links: readLinks(forceStop) });
  const mountTable = withGvfsShares(createMountTable({ clock }), { clock, prober });
  const carrier = stack.use(connectCarrier({ home, clock, logger }));
  const addressesOf = (host: string): readonly string[] => hostProber.addressesOf(host);
  const kept = { clock, logger, stateFolder: home };
  const notes = createNoteWriter({ clock, logger });
  const smb = { clock, logger, prober, mountTable, addressesOf };
  const drivers: Record<DriverName, MountDriver> = {
    rclone: leavingGvfsAlone(createRcloneDriver({ ...smb, stateFolder: home, notes })),
    local: withUnsentOfRclone(createLocalDriver({ clock, prober, stateFolder: home }), kept),
    netfs: createNetfsDriver({ ...smb, carryProof: () => readCarryProof(home) }),
    cifs: withUnsentOfRclone(leavingGvfsAlone(createCifsDriver({ ...smb, stateFolder: home })), kept),
  };
  const claims = stack.use(createMountClaims({ home, logger }));
  const logons = createLogons(clock);
  const serverProof = createServerProof({ clock, logger, stateFolder: home, logons, hostProber });
  const carriage = createCarriage({ logger, carrier });
  const engine = stack.use(
    createShareEngine({
      ...options,
      // netfs takes whatever stands in a share's place for its own.
      drivers: [drivers.rclone, drivers.cifs, drivers.local, drivers.netfs],
      hostProber,
      place,
      sendWake: sendMagicPacket,
      prober,
      carriage,
      serverProof,
      logons,
      links: createStableLinks(clock, prober),
      claims,
    }),
  );
  return {
    engine,
    /** The carrier's counters are as they are now. */
    recount: async (): Promise<void> => {
      if (carrier.shares.size > 0) await carriage.recount();
    },
    hostProber,
    place,
    drivers,
    prober,
    mountTable,
    rcloneLogs: createRcloneLogs(kept),
    noteKeeper: createNoteKeeper({ ...kept, notes }),
    formerShares: createFormerShares(kept),
    logons,
    serverProof,
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

/** How long the prober may take to look at a link, ms. */
const LOOK_MS = 1000;
/** A link that was right is looked at again after so long, ms: beats may be short, and looks are not free. */
const LOOK_AGAIN_MS = 2_000;
/** It counts as right for so long while looks are late, ms: a busy machine is no other link. */
const BELIEVED_MS = 60_000;

interface KnownLink {
  /** Where this process has pointed it to. */
  readonly targets: Set<string>;
  right: { readonly target: string; readonly atMs: number } | null;
}

/**
 * The links of a home's shares. A link is ours when it leads to the share's own mount path, or to a mount that this
 * process has pointed it to.
 */
export function createStableLinks(clock: Clock, prober: Prober): StableLinks {
  const links = new Map<string, KnownLink>();
  const ensureNow: StableLinks["ensureNow"] = ({ stablePath, mountPath }, target) => {
    const link = links.get(stablePath) ?? { targets: new Set(), right: null };
    links.set(stablePath, link);
    return ensure(link, stablePath, mountPath, target);
  };
  return {
    ensure(spec, target) {
      const right = links.get(spec.stablePath)?.right;
      const isKnown = right?.target === target && clock.monotonicMs() - right.atMs < LOOK_AGAIN_MS;
      return isKnown ? null : ensureNow(spec, target);
    },
    ensureNow,
    async look({ stablePath, mountPath }, mountedAt) {
      const look = await prober.readLink(stablePath, LOOK_MS);
      // A link to another place is wrong even if it is ours.
      const found = judgeLink(look, stablePath, mountedAt ?? mountPath, () => false);
      if (typeof found !== "string") return found;
      // The link of what is not mounted leads nowhere yet.
      return found === "right" || mountedAt === null ? null : blocked(`${stablePath} is missing`, "failed");
    },
  };

  async function ensure(
    link: KnownLink,
    path: string,
    mountPath: string,
    target: string,
  ): Promise<LinkBlocked | null> {
    const atMs = clock.monotonicMs();
    link.targets.add(target).add(mountPath);
    const isOurs = (found: string): boolean => link.targets.has(found);
    const outcome = await ensureStableLink({ prober, path, target, isOurs, waitMs: LOOK_MS });
    const wasRight = link.right?.target === target && atMs - link.right.atMs < BELIEVED_MS;
    const fault = outcome.result === "blocked" ? outcome : null;
    if (fault?.why === "late" && wasRight) return null;
    link.right = fault === null ? { target, atMs } : null;
    return fault;
  }
}
