// The operations for aliases, for daemon and commands.
import { join } from "node:path";
import type { AliasStatus, StatusReport } from "../../api/contract/contract.ts";
import type { Control } from "../../api/operations/operations.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { AliasLinks, type AliasTransition, type AliasView } from "../../shares/links/alias-links.ts";
import { openAliasMemory } from "../../shares/links/alias-memory.ts";
import type { EngineParts } from "../compose/engine-parts.ts";

interface AliasService extends AsyncDisposable {
  readonly control: Pick<Control, "aliases" | "reconcileAliases">;
  readonly aliases: AliasLinks;
}

/** Opens the aliases. `readOnly`: for commands that only read, which must not trigger aliases. */
export async function openAliasControl(options: {
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly parts: Pick<EngineParts, "engine" | "prober">;
  readonly readOnly: boolean;
  readonly first: MountaineerConfig;
  readonly publish: (transition: AliasTransition) => void;
}): Promise<AliasService> {
  const { home, clock, logger, parts, readOnly, first, publish } = options;
  const { engine, prober } = parts;
  const memory = await openAliasMemory({ path: join(home, "aliases.json"), logger, readOnly });
  const mountPaths = (): string[] =>
    engine.names.flatMap((name) => {
      const { subject, observed } = engine.view(name);
      const { mountPath, routes } = subject.spec;
      const folders = [routes.tb.folder, routes.fallback.folder].filter((folder) => folder !== null);
      return [mountPath, ...folders, ...(observed?.mount ? [observed.mount.found.path] : [])];
    });
  const aliases = new AliasLinks({ clock, logger, prober, memory, mountPaths, publish });
  aliases.apply(first);
  return {
    aliases,
    control: {
      aliases: async () => ({ aliases: aliasStatuses(await aliases.check()) }),
      reconcileAliases: async (_, signal) => ({ aliases: aliasStatuses(await aliases.reconcile(signal)) }),
    },
    [Symbol.asyncDispose]: () => aliases[Symbol.asyncDispose](),
  };
}

/** Omits `aliases` if there are none. */
export function aliasStatus(aliases: Pick<AliasLinks, "status">): Pick<StatusReport, "aliases"> {
  const reported = aliasStatuses(aliases.status());
  return reported.length === 0 ? {} : { aliases: reported };
}

export function aliasStatuses(views: readonly AliasView[]): AliasStatus[] {
  return views.map(({ name, share, targetSubpath, path, target, link, detail }) => ({
    name,
    share,
    target_subpath: targetSubpath,
    path,
    target,
    link,
    detail,
  }));
}
