// What a person can do to a share: the questions asked first, and what is said afterwards.
import { h } from "preact";
import type { ShareStatus, StepResult } from "../../../api/contract.ts";
import type { SwitchTarget } from "../../../api/requests.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import { routeLabel } from "../daemon/event-text.ts";
import type { App } from "../parts/app.ts";
import { shown } from "../parts/text.ts";

const FAILED: readonly StepResult["result"][] = ["failed", "busy"];

export async function switchShare(app: App, share: ShareStatus, to: SwitchTarget): Promise<void> {
  const { name } = share;
  const holders = share.conditions.flatMap((condition) => condition.holders ?? []);
  // A carried mount stays while its route moves: nothing is taken from anybody.
  const unmounts = to !== "auto" && share.carried === undefined && share.mount_state === "mounted";
  if (unmounts) {
    const yes = await app.ask({
      title: `Switch ${shown(name)} to ${routeLabel(to)}?`,
      body: h(
        "p",
        {},
        "The share is unmounted from one route and mounted over the other. Programs that have files open keep it where it is",
        holders.length === 0 ? "." : `; ${counted(holders.length, "open file")} known now.`,
      ),
      action: "Switch",
      destroys: true,
    });
    if (!yes) return;
  }
  await takeStep(app, name, (force) =>
    app.requests.ask("switchRoute", { shares: [name], to, force }).then(({ results }) => results),
  );
}

export async function mountShare(app: App, name: string): Promise<void> {
  await takeStep(app, name, () =>
    app.requests.ask("mount", { shares: [name] }).then(({ results }) => results),
  );
}

export async function unmountShare(app: App, name: string): Promise<void> {
  const yes = await app.ask({
    title: `Unmount ${shown(name)}?`,
    body: h(
      "p",
      {},
      "Programs can no longer reach its files, and it stays unmounted until you mount it again.",
    ),
    action: "Unmount",
    destroys: true,
  });
  if (!yes) return;
  await takeStep(app, name, (force) =>
    app.requests.ask("unmount", { shares: [name], force }).then(({ results }) => results),
  );
}

export async function reconcileShares(app: App, shares: readonly string[] | null): Promise<void> {
  await app.attempt("Reconcile", async () => {
    const { results } = await app.requests.ask("reconcile", { shares });
    for (const result of results) tellStep(app, result);
  });
}

/** Files that are open are no reason to give up before the person has seen whose they are. */
async function takeStep(
  app: App,
  name: string,
  step: (force: boolean) => Promise<readonly StepResult[]>,
): Promise<void> {
  await app.attempt(name, async () => {
    const results = await step(false);
    const busy = results.find(({ result }) => result === "busy");
    if (busy === undefined) {
      for (const result of results) tellStep(app, result);
      return;
    }
    const yes = await app.ask({
      title: `${shown(name)} is in use. Do it all the same?`,
      body: [
        h("p", {}, shown(busy.detail)),
        busy.holders.length === 0
          ? null
          : h(
              "ul",
              {},
              busy.holders
                .slice(0, 20)
                .map(({ pid, command, path }) =>
                  h("li", { key: `${pid} ${path}` }, `${shown(command)} (${pid}): ${shown(path)}`),
                ),
            ),
        busy.unsent.length === 0
          ? null
          : h("p", {}, `Not sent yet: ${busy.unsent.slice(0, 20).map(shown).join(", ")}`),
        h("p", {}, "These programs get errors, and what they have not saved may be lost."),
      ],
      action: "Do it all the same",
      destroys: true,
    });
    if (!yes) {
      app.tell("plain", `${name}: nothing was changed`);
      return;
    }
    for (const result of await step(true)) tellStep(app, result);
  });
}

function tellStep(app: App, { share, result, detail, hint }: StepResult): void {
  const tone = FAILED.includes(result) ? "bad" : result === "skipped" ? "plain" : "good";
  app.tell(tone, `${share}: ${detail}${hint === null ? "" : ` (${hint})`}`);
}
