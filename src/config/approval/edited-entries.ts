// The approvals that a person's edit gives: to the entries that the edit changed, if the person was shown them. Pure.
import type { MountaineerConfig } from "../snapshot.ts";
import { BACKEND_ORDER, movesBackends } from "./backend-order.ts";
import { type ApprovedEntry, decideHeld, type Grant, type HeldInput, withAllOn } from "./decide-held.ts";
import { entriesOf, isSameParts } from "./entries.ts";

interface EditedInput extends Omit<HeldInput, "file"> {
  readonly before: MountaineerConfig;
  readonly after: MountaineerConfig;
}

/**
 * Approves the entries that an edit changed, except those of the fleet's layer. An entry that waited before the edit
 * (a disabled one counts as enabled) keeps waiting unless the edit removes or disables it, because the person was not
 * shown its earlier changes.
 */
export function editedEntries({ before, after, ...known }: EditedInput): Grant {
  const file = withAllOn(before);
  const approvals = known.approvals && { ...known.approvals, entries: asSwitchedOn(known.approvals.entries) };
  const waited = waitingIn({ ...known, approvals, file });
  // Unlike `waited`, this includes entries that a person had switched off and another program switched on
  // again.
  const waitedToRun = waitingIn({ ...known, file: before });
  const [was, is] = [entriesOf(file), entriesOf(withAllOn(after))];
  const [ran, runs] = [entriesOf(before), entriesOf(after)];
  const forgets = new Set<string>();
  const changed = [...new Set([...was.keys(), ...is.keys()])].filter((id) => {
    const [old, now] = [was.get(id)?.parts, is.get(id)?.parts];
    const isSwitched = ran.has(id) !== runs.has(id);
    if (now === undefined) return true;
    if (waited.has(id)) {
      if (isSwitched && !runs.has(id)) forgets.add(id);
      return forgets.has(id);
    }
    if (old === undefined || isSwitched) return true;
    if (waitedToRun.has(id)) return false;
    return !isSameParts(old, now);
  });
  const moves = movesBackends(before.backends, after.backends) && !waitedToRun.has(BACKEND_ORDER);
  const order = after.backends.map(({ name }) => name).filter((name) => !waited.has(`backends.${name}`));
  // `[trust]` is loosened only by `mountaineer approve`; tightening it needs no approval.
  const unseen = new Set(["trust", ...(after.layer?.brings ?? [])]);
  const ids = new Set(changed.filter((id) => !unseen.has(id)));
  return moves
    ? { ids: ids.add(BACKEND_ORDER), forgets, loosens: false, order }
    : { ids, forgets, loosens: false };
}

/**
 * For an edit by somebody who may approve nothing: returns the entries among `edited` that this edit removes or
 * disables. They stay so until a person brings them back; an entry that the edit also changes loses its approval.
 */
export function refusedEntries(
  edited: Grant,
  { before, after }: Pick<EditedInput, "before" | "after">,
): Grant {
  const [ran, runs] = [entriesOf(before), entriesOf(after)];
  const is = entriesOf(withAllOn(after));
  const isOff = (id: string): boolean => ran.has(id) && !runs.has(id);
  const ids = new Set([...edited.ids].filter((id) => id !== BACKEND_ORDER && (!is.has(id) || isOff(id))));
  const forgets = [...ids].filter(
    (id) =>
      edited.forgets?.has(id) === true || !isSameParts(ran.get(id)?.parts ?? {}, is.get(id)?.parts ?? {}),
  );
  return { ids, forgets: new Set(forgets), loosens: false };
}

function waitingIn(input: HeldInput): ReadonlySet<string> {
  return new Set(decideHeld(input).waiting.map(({ id }) => id));
}

/** Returns the entries without the mark that a person has disabled them. */
function asSwitchedOn(entries: ReadonlyMap<string, ApprovedEntry>): ReadonlyMap<string, ApprovedEntry> {
  return new Map([...entries].map(([id, { live, parts }]) => [id, { live, parts }]));
}
