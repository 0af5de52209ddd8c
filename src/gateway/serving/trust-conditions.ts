// What is to be said of pins, and of characters that nobody sees.
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog, UnseenEntry } from "../catalog/catalog.ts";
import type { PendingChange, PinsState } from "../pins/pins.ts";
import { shownName } from "../pins/short-diff.ts";

type Told = Omit<BackendCondition, "sinceMs"> & { readonly sinceMs?: number };

const MOST_NAMES = 5;

/** One for each backend and kind, however many entries it is about. */
export function trustConditions(
  { pending, beyond, lost, isUnread, unsavedBecause }: PinsState,
  { unseen }: Pick<Catalog, "unseen">,
): readonly Told[] {
  const told: Told[] = [];
  const warn = (code: string, title: string, hint: string): void => {
    told.push({ code, severity: "warning", title, hint });
  };
  if (lost !== null) {
    const title = `What servers showed before now is not known: ${lost}`;
    const hint = isUnread
      ? "Unlock the keyring: it is asked again every minute."
      : "Look through `mountaineer tools list` and `mountaineer tools diff`; `mountaineer tools approve --all` begins anew with all as it is.";
    told.push({ code: "pins_lost", severity: "error", title, hint });
  }
  if (unsavedBecause !== null) {
    const title = `The pins cannot be written: ${unsavedBecause}`;
    warn("pins_not_saved", title, "They hold until the daemon ends; it is tried again every minute.");
  }
  for (const [backend, of] of Map.groupBy(pending, (one) => one.backend)) {
    const withheld = of.filter(({ isWithheld }) => isWithheld);
    const changed = of.filter(({ isWithheld }) => !isWithheld);
    const hint = `\`mountaineer tools diff\` shows how; \`mountaineer tools approve --backend ${backend}\` accepts it.`;
    if (changed.length > 0) {
      const names = firstOf(changed, toldEntry);
      warn(
        "tools_changed",
        `backend ${backend} describes ${whatOf(changed)} otherwise than when they were approved: ${names}`,
        hint,
      );
    }
    if (withheld.length > 0) {
      const names = firstOf(withheld, (one) => `${toldEntry(one)} (${one.change})`);
      warn(
        "tools_withheld",
        `${whatOf(withheld)} of backend ${backend} are withheld until you approve them: ${names}`,
        hint,
      );
    }
  }
  for (const [backend, { count, isWithheld }] of beyond) {
    const what = isWithheld ? "withheld" : "not watched for changes";
    const title = `backend ${backend} lists more entries than can be pinned: ${count} of them are ${what}`;
    warn("tools_not_pinned", title, `Publish fewer of them with [backends.${backend}.filters].`);
  }
  for (const [backend, of] of Map.groupBy(unseen, (one) => one.backend)) {
    const names = firstOf(of, unseenTold);
    const title = `backend ${backend} has text that nobody sees, and clients get its entries without it: ${names}`;
    warn(
      "unseen_characters",
      title,
      "It may be meant for models alone. `mountaineer tools diff` shows all of it.",
    );
  }
  return told;
}

/** Tools where they are nothing else, as they mostly are. */
function whatOf(pending: readonly PendingChange[]): string {
  return pending.every(({ kind }) => kind === "tool") ? "tools" : "things";
}

/** A tool by its name, anything else after its kind. */
function toldEntry({ kind, name }: PendingChange): string {
  return kind === "tool" ? shownName(name) : kind === name ? kind : `${kind} ${shownName(name)}`;
}

function unseenTold({ kind, name, faults }: UnseenEntry): string {
  return `${kind} ${shownName(name)} (${faults.slice(0, 1).join("")}${faults.length > 1 ? ", …" : ""})`;
}

function firstOf<Item extends PendingChange | UnseenEntry>(
  items: readonly Item[],
  told: (item: Item) => string,
): string {
  const more = items.length - MOST_NAMES;
  return `${items.slice(0, MOST_NAMES).map(told).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
