// Entries that backends offer and clients do not get, with the reasons. Pure.
import { withoutUnseen } from "../../runtime/text/unseen-characters.ts";
import { namedEntries } from "../catalog/build-catalog.ts";
import type { Catalog, CatalogSource } from "../catalog/catalog.ts";
import type { ShownKind } from "../pins/pinned-entry.ts";
import type { PinsState } from "../pins/pins.ts";

export interface WithheldEntry {
  readonly backend: string;
  readonly kind: ShownKind;
  /**
   * The name that the server gives to the entry; for collisions and switched-off tools, the published name. Without
   * invisible characters.
   */
  readonly name: string;
  readonly reason: "filter" | "approval" | "collision" | "share" | "off";
  readonly why: string;
}

interface Offered {
  /** Without the entries that pins withhold. */
  readonly sources: readonly CatalogSource[];
  readonly catalog: Pick<Catalog, "collisions" | "off">;
  readonly pending: PinsState["pending"];
  /** Lists of backends whose share is away. */
  readonly hidden: readonly CatalogSource[];
}

export function withheldEntries({ sources, catalog, pending, hidden }: Offered): readonly WithheldEntry[] {
  const off = [...catalog.off.values()].map(({ backend, name }) =>
    withheld(backend, "tool", name, "off", "you have switched it off"),
  );
  const filtered = sources.flatMap((source) =>
    namedEntries(source)
      .filter(({ isPermitted }) => !isPermitted)
      .map(({ kind, name }) =>
        withheld(source.backend, kind, name, "filter", "the backend's filters keep it back"),
      ),
  );
  const unapproved = pending.flatMap(({ backend, kind, name, change, isWithheld }) => {
    const why = change === "new" ? "it is new and waits for approval" : "it changed and waits for approval";
    return isWithheld ? [withheld(backend, kind, name, "approval", why)] : [];
  });
  const collided = catalog.collisions.map(({ kind, name, kept, hidden: backend }) =>
    withheld(backend, kind, name, "collision", `${kept} offers the same name, and comes first`),
  );
  const away = hidden.flatMap((source) =>
    namedEntries(source)
      .filter(({ isPermitted }) => isPermitted)
      .map(({ kind, name }) =>
        withheld(source.backend, kind, name, "share", "the share that its backend requires is away"),
      ),
  );
  return [...off, ...filtered, ...unapproved, ...collided, ...away];
}

function withheld(
  backend: string,
  kind: ShownKind,
  name: string,
  reason: WithheldEntry["reason"],
  why: string,
): WithheldEntry {
  return { backend, kind, name: withoutUnseen(name), reason, why };
}
