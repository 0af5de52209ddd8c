// What backends offer and clients do not get, each with the reason. Pure.
import { withoutUnseen } from "../../runtime/text/unseen-characters.ts";
import { type Permission, permissionOf } from "../catalog/build-catalog.ts";
import type { Catalog, CatalogSource, EntryKind } from "../catalog/catalog.ts";
import type { JsonObject } from "../json-rpc.ts";
import { isSkillPin } from "../pins/pinned-tool.ts";
import type { PinsState } from "../pins/tool-pins.ts";

export interface WithheldEntry {
  readonly backend: string;
  readonly kind: EntryKind;
  /** The server's own name of it, without characters that nobody sees; of a collision, and of a tool that is off, the published one. */
  readonly name: string;
  readonly reason: "filter" | "approval" | "collision" | "share" | "off";
  readonly why: string;
}

interface Offered {
  /** What pins leave of the backends' lists. */
  readonly sources: readonly CatalogSource[];
  readonly catalog: Pick<Catalog, "collisions" | "off">;
  readonly pending: PinsState["pending"];
  /** Of backends whose share is away. */
  readonly hidden: readonly CatalogSource[];
}

/** In the order: what is off, filters, approvals, collisions, shares; within each by backend. */
export function withheldEntries({ sources, catalog, pending, hidden }: Offered): readonly WithheldEntry[] {
  const off = [...catalog.off.values()].map(({ backend, name }) =>
    withheld(backend, "tool", name, "off", "you have switched it off"),
  );
  const filtered = sources.flatMap((source) =>
    entriesOf(source).flatMap(({ kind, name, isPermitted }) =>
      isPermitted
        ? []
        : [withheld(source.backend, kind, name, "filter", "the backend's filters keep it back")],
    ),
  );
  const unapproved = pending.flatMap(({ backend, tool, kind, definition, isWithheld }) => {
    const why = kind === "new" ? "it is new and waits for approval" : "it changed and waits for approval";
    const what = isSkillPin(definition) ? "skill" : "tool";
    return isWithheld ? [withheld(backend, what, tool, "approval", why)] : [];
  });
  const collided = catalog.collisions.map(({ kind, name, kept, hidden: backend }) =>
    withheld(backend, kind, name, "collision", `${kept} offers the same name, and comes first`),
  );
  const away = hidden.flatMap((source) =>
    entriesOf(source).flatMap(({ kind, name, isPermitted }) =>
      isPermitted
        ? [withheld(source.backend, kind, name, "share", "the share that its backend requires is away")]
        : [],
    ),
  );
  return [...off, ...filtered, ...unapproved, ...collided, ...away];
}

interface OfferedEntry {
  readonly kind: EntryKind;
  readonly name: string;
  /** Its backend's filters let it pass. */
  readonly isPermitted: boolean;
}

function entriesOf({ listings, filters }: CatalogSource): readonly OfferedEntry[] {
  const tools = permissionOf(filters.tools);
  const resources = permissionOf(filters.resources);
  const prompts = permissionOf(filters.prompts);
  const named = (
    kind: EntryKind,
    definitions: readonly JsonObject[],
    key: string,
    permission: Permission,
  ): OfferedEntry[] =>
    definitions.flatMap(({ [key]: name }) =>
      typeof name === "string" ? [{ kind, name, isPermitted: permission.permits(name) }] : [],
    );
  return [
    ...named("tool", listings.tools, "name", tools),
    ...named("resource", listings.resources, "uri", resources),
    ...named("template", listings.resourceTemplates, "uriTemplate", resources),
    ...named("prompt", listings.prompts, "name", prompts),
    ...named("skill", listings.skills ?? [], "uri", resources),
  ];
}

function withheld(
  backend: string,
  kind: EntryKind,
  name: string,
  reason: WithheldEntry["reason"],
  why: string,
): WithheldEntry {
  return { backend, kind, name: withoutUnseen(name), reason, why };
}
