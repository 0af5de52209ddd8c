// Creates the share engine and its parts: prober, host prober, mount table, drivers. The daemon and commands
// use the same parts.

import { createMountProgram } from "../../mount-program/mount-program.ts";
import { withLinks } from "../../network/discover/linked-prober.ts";
import { readLinks } from "../../network/discover/links.ts";
import { createNetworkLocation } from "../../network/location/network-location.ts";
import { sendMagicPacket } from "../../network/location/wake-packet.ts";
import { createHostProber } from "../../network/probe/host-prober.ts";
import { checkLocalNetwork } from "../../network/probe/local-network.ts";
import type { StateStore } from "../../reconcile/state-store.ts";
import { createDisposalStack } from "../../runtime/disposal.ts";
import { errorText } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { createFsDriver } from "../../shares/drivers/fs/fs.ts";
import { createLocalDriver } from "../../shares/drivers/local/local.ts";
import type { MountDriver } from "../../shares/drivers/mount-driver.ts";
import { createNetfsDriver } from "../../shares/drivers/netfs/netfs.ts";
import { createProgramLogs } from "../../shares/drivers/program-logs.ts";
import type { CompareServers } from "../../shares/engine/server-check.ts";
import { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { SharePrograms } from "../../shares/engine/share-subject.ts";
import { createStableLinks } from "../../shares/links/stable-links.ts";
import { createMountClaims } from "../../shares/mounts/mount-claims.ts";
import { createMountTable } from "../../shares/mounts/mount-table.ts";
import type { ShareTransition } from "../../shares/policy/share-transitions.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import { startProber } from "../../shares/prober/prober-process.ts";
import { createProgramCommands, type ProgramCommands } from "../../shares/program/commands.ts";
import { type DriverName, isKeychainLogin } from "../../shares/share-spec.ts";

import { folderIn } from "./share-contact.ts";

/** Deadline of a name look-up, ms. */
const RESOLVE_MS = 5000;

interface PartsOptions extends RuntimeTools {
  readonly home: string;
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
  const links = readLinks(forceStop);
  const plainProber = createHostProber({
    clock,
    logger,
    resolve: (host) => prober.resolve(host, RESOLVE_MS),
  });
  const hostProber = stack.use(withLinks(checkLocalNetwork(plainProber, { clock }), { clock, links }));
  const location = createNetworkLocation({ clock, links });
  const mountTable = createMountTable({ clock });
  const addressesOf = (host: string): readonly string[] => hostProber.addressesOf(host);
  const smb = { clock, logger, prober, mountTable, addressesOf, stateFolder: home };
  const { observedAt: observedAtMs } = options.memory.restored;
  const program = createMountProgram(home);
  const commands = createProgramCommands({ clock, home, folderOf: folderIn(home), program: program.find });
  const fs = stack.use(createFsDriver({ ...smb, program, isInCharge, observedAtMs }));
  const drivers: Record<DriverName, MountDriver> = {
    fs,
    local: createLocalDriver({ clock, prober, mountTable, stateFolder: home }),
    netfs: createNetfsDriver({ ...smb, commands }),
  };
  const claims = stack.use(createMountClaims({ home, logger }));
  const engine = stack.use(
    new ShareEngine({
      ...options,
      // netfs is last, because it claims every mount at a share's path.
      drivers: [drivers.fs, drivers.local, drivers.netfs],
      hostProber,
      location,
      sendWakePacket: sendMagicPacket,
      prober,
      compareServers: (...given) => compareServers(commands, ...given),
      links: createStableLinks(clock, prober),
      claims,
    }),
  );
  if (!isInCharge) engine.rest();
  return {
    engine,
    /** Asks the programs of mounts that move for their counters. */
    recount: async (): Promise<void> => {
      await Promise.all(engine.names.map((name) => fs.moving?.refresh(name)));
    },
    hostProber,
    location,
    drivers,
    prober,
    mountTable,
    commands,
    programLogs: createProgramLogs(smb),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

/** Compares the servers behind a share's routes with each other and with its record. */
function compareServers(
  commands: ProgramCommands,
  ...[spec, signIn, signal]: Parameters<CompareServers>
): ReturnType<CompareServers> {
  if (isKeychainLogin(spec))
    return Promise.resolve({
      ok: false,
      code: null,
      text: "its password is in the Keychain, which only macOS reads",
    });
  return commands.compareServers({ signIn, shareName: spec.shareName }, signal);
}
