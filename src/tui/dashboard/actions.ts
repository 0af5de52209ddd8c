// What a person can do to shares, backends and the daemon from here, each with its question and its outcome in words.
import type { StepResult } from "../../api/contract.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import type { Note, Prompt } from "../terminal/prompt.ts";

type ShareRoute = "tb" | "fallback" | "auto";

const ROUTES: Readonly<Record<ShareRoute, string>> = {
  tb: "Thunderbolt",
  fallback: "fallback",
  auto: "the route that the rules choose",
};

export type Actions = ReturnType<typeof createActions>;

export function createActions(link: DaemonLink, prompt: Prompt, signal: AbortSignal) {
  const stepNote = (results: readonly StepResult[]): Note | null => {
    const [worst] = results.toSorted((one, other) => RANKS[one.result] - RANKS[other.result]);
    if (worst === undefined) return null;
    const holders = worst.holders.slice(0, 3).map(({ command, pid }) => `${command} (${pid})`);
    const parts = [
      `${worst.share}: ${worst.detail}`,
      ...(holders.length === 0 ? [] : [`open in ${holders.join(", ")}`]),
      ...(worst.hint === null ? [] : [worst.hint]),
    ];
    return { tone: TONES[worst.result], text: parts.join("; ") };
  };
  /** Runs with force what just found open files; null: nothing did. */
  let forced: { readonly question: string; readonly run: () => void } | null = null;
  const busyNote = (results: readonly StepResult[], what: string, run: () => void): Note | null => {
    const note = stepNote(results);
    if (!results.some(({ result }) => result === "busy")) return note;
    forced = { question: `${busyText(results)}. ${what} anyway? What is not saved there is lost.`, run };
    return note === null ? null : { ...note, text: `! asks to do it anyway; ${note.text}` };
  };
  const unmount = (share: string, force: boolean): void =>
    prompt.run(`unmounting ${share}`, async () => {
      const daemon = await link.daemon();
      const { results } = await daemon.ask("unmount", { shares: [share], force }, signal);
      return busyNote(results, `Unmount ${share}`, () => unmount(share, true));
    });
  const switchShare = (share: string, to: ShareRoute, force: boolean): void =>
    prompt.run(`switching ${share} to ${ROUTES[to]}`, async () => {
      const daemon = await link.daemon();
      const { results } = await daemon.ask(
        "switchRoute",
        { shares: [share], to, force, wait: false },
        signal,
      );
      return busyNote(results, `Switch ${share}`, () => switchShare(share, to, true));
    });
  return {
    /** Asks whether to do anyway what open files kept from being done; false: nothing was. */
    force(): boolean {
      if (forced === null) return false;
      const { question, run } = forced;
      forced = null;
      prompt.ask(question, run);
      return true;
    },
    /** null: all of them. */
    mount: (share: string | null): void =>
      prompt.run(`mounting ${share ?? "all shares"}`, async () => {
        const daemon = await link.daemon();
        const shares = share === null ? null : [share];
        return stepNote((await daemon.ask("mount", { shares }, signal)).results);
      }),
    unmount: (share: string): void =>
      prompt.ask(`Unmount ${share}, and keep it unmounted?`, () => unmount(share, false)),
    switchShare: (share: string, to: ShareRoute): void => switchShare(share, to, false),
    switchBackend: (backend: string, to: string): void =>
      prompt.run(`switching ${backend} to ${to}`, async () => {
        const { result, detail } = await (await link.daemon()).ask("switchBackend", { backend, to }, signal);
        return {
          tone: result === "switched" ? "good" : result === "skipped" ? "warning" : "bad",
          text: `${backend}: ${detail}`,
        };
      }),
    restart: (backend: string): void =>
      prompt.ask(`Restart ${backend}? The running one serves until the new one is ready.`, () =>
        prompt.run(`restarting ${backend}`, async () => {
          const { restarted } = await (await link.daemon()).ask("restart", { backends: [backend] }, signal);
          return restarted.length === 0
            ? { tone: "warning", text: `${backend}: nothing to restart` }
            : { tone: "good", text: `${restarted.join(", ")}: started anew; serves when it is ready` };
        }),
      ),
    reload: (): void =>
      prompt.run("reloading the configuration", async () => {
        const { summary, failure, errors } = await (await link.daemon()).ask("reload", {}, signal);
        const [mistake] = errors;
        if (mistake !== undefined) {
          const at = `${mistake.file}:${mistake.line}:${mistake.column}`;
          return {
            tone: "bad",
            text: `${at}: ${mistake.path}: found ${mistake.found}, expected ${mistake.expected}`,
          };
        }
        return failure === null ? { tone: "good", text: summary } : { tone: "bad", text: failure };
      }),
    restartDaemon: (): void =>
      prompt.ask("Restart the daemon? Mounts stay, and calls in flight are finished.", () =>
        prompt.run("restarting the daemon", async () => {
          const { from, to, version } = await (await link.daemon()).ask("handOver", null, signal);
          return { tone: "good", text: `process ${to} (version ${version}) takes over from ${from}` };
        }),
      ),
  };
}

/** The worst first. */
const RANKS: Readonly<Record<StepResult["result"], number>> = {
  failed: 0,
  busy: 1,
  pending: 2,
  skipped: 3,
  unmounted: 4,
  switched: 4,
  mounted: 4,
};

const TONES: Readonly<Record<StepResult["result"], Note["tone"]>> = {
  failed: "bad",
  busy: "warning",
  pending: "warning",
  skipped: "warning",
  unmounted: "good",
  switched: "good",
  mounted: "good",
};

function busyText(results: readonly StepResult[]): string {
  const holders = results.flatMap(({ holders: own }) => own.map(({ command, pid }) => `${command} (${pid})`));
  if (holders.length === 0) return "Files are open";
  const more = holders.length > 3 ? ` and ${holders.length - 3} more` : "";
  return `Files are open in ${holders.slice(0, 3).join(", ")}${more}`;
}
