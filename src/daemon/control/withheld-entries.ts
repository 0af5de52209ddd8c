// Entries that backends offer and clients do not get, with the reasons, as faces show them. Pure.
import type { CatalogReport } from "../../api/contract/catalog.ts";
import type { Catalog, Reason } from "../../gateway/catalog/catalog.ts";
import type { PendingChange } from "../../gateway/pins/pins.ts";
import { stripInvisible } from "../../runtime/text/invisible-characters.ts";

type Withheld = CatalogReport["withheld"][number];

/** `needsShare`: true for a backend whose required share is away. */
export function withheldEntries(
  { entries }: Pick<Catalog, "entries">,
  pending: readonly PendingChange[],
  needsShare: (backend: string) => boolean,
): Withheld[] {
  const silenced = pending.filter(({ kind, isWithheld }) => kind === "instructions" && isWithheld);
  return [
    ...entries.flatMap(({ backend, kind, name, reasons: [reason] }): Withheld[] =>
      reason === undefined
        ? []
        : [{ backend, kind, name: stripInvisible(name), ...explain(reason, needsShare(backend)) }],
    ),
    ...silenced.map(
      ({ backend, kind, name, change }): Withheld => ({
        backend,
        kind,
        name,
        ...explain({ status: "unapproved", change }, false),
      }),
    ),
  ];
}

function explain(reason: Reason, needsShare: boolean): Pick<Withheld, "reason" | "why"> {
  switch (reason.status) {
    case "filtered":
      return { reason: "filter", why: "the server's filters hide it" };
    case "off":
      return { reason: "off", why: "you have switched it off" };
    case "unapproved":
      return { reason: "approval", why: UNAPPROVED[reason.change] };
    case "unfit":
      return { reason: "arguments", why: `${reason.why}, which \`tool_overrides\` sets` };
    case "collided":
      return { reason: "collision", why: `${reason.kept} offers the same name, and comes first` };
    case "away":
      return needsShare
        ? { reason: "share", why: "the share that its server requires is away" }
        : { reason: "server", why: "its server is not ready" };
  }
}

const UNAPPROVED = {
  new: "it is new and waits for approval",
  changed: "it changed and waits for approval",
  beyond: "its server lists more entries than can be pinned",
};
