// The approvals that a person's edit gives: to the entries that the edit changed, if the person was shown them. Pure.
import { type MountaineerConfig, nasOf } from "../snapshot.ts";
import {
  type ApprovalInput,
  type ApprovedEntry,
  applyApprovals,
  type Grant,
  withAllOn,
} from "./apply-approvals.ts";
import { BACKEND_ORDER, orderOf } from "./backend-order.ts";
import { entriesOf, isSameMeaning, isSameParts } from "./entries.ts";

interface EditedInput extends Omit<ApprovalInput, "file"> {
  readonly before: MountaineerConfig;
  readonly after: MountaineerConfig;
}

/**
 * Approves the entries that an edit changed. An entry that waited before the edit
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
  const isOff = (id: string): boolean => ran.has(id) && !runs.has(id);
  // `[trust]` is loosened only by `mountaineer approve`; tightening it needs no approval.
  const unseen = new Set(["trust"]);
  // A new share shows only its name: its NAS was in the file, and no share on it is approved.
  const isOnUnseenNas = (id: string): boolean => {
    const share = after.shares.find(({ name }) => id === `shares.${name}`);
    const nas = share === undefined ? null : nasOf(after, share.name);
    const others = nas === null ? undefined : before.nas?.[nas];
    return others?.every((name) => waited.has(`shares.${name}`)) ?? false;
  };
  const changed = [...new Set([...was.keys(), ...is.keys()])].filter((id) => {
    if (unseen.has(id)) return false;
    const [old, now] = [was.get(id)?.parts, is.get(id)?.parts];
    if (now === undefined) return true;
    if (waited.has(id)) return isOff(id);
    if (old === undefined && isOnUnseenNas(id)) return false;
    if (old === undefined || ran.has(id) !== runs.has(id)) return true;
    return !waitedToRun.has(id) && !isSameParts(old, now);
  });
  const ids = new Set(changed);
  const forgets = new Set(changed.filter((id) => waited.has(id) && is.has(id)));
  const [old, now] = [orderOf(before), orderOf(after)];
  const isMoved = !isSameMeaning(
    old.filter((name) => now.includes(name)),
    now,
  );
  // The order that a person gives is approved, unless another one waits that they were not shown.
  if (!isMoved || waitedToRun.has(BACKEND_ORDER)) return { ids, forgets, loosens: false };
  const order = after.backends.map(({ name }) => name).filter((name) => !waited.has(`backends.${name}`));
  return { ids: ids.add(BACKEND_ORDER), forgets, loosens: false, order };
}

/**
 * For an edit without the right to approve: returns the entries among `edited` that this edit removes or disables. They
 * stay so until a person restores them; an entry that the edit also changes loses its approval.
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

function waitingIn(input: ApprovalInput): ReadonlySet<string> {
  return new Set(applyApprovals(input).waiting.map(({ id }) => id));
}

/** Returns the entries without the mark that a person has disabled them. */
function asSwitchedOn(entries: ReadonlyMap<string, ApprovedEntry>): ReadonlyMap<string, ApprovedEntry> {
  return new Map(
    [...entries].map(([id, { whole, state }]) => [id, { whole, state: state === "off" ? "gone" : state }]),
  );
}
