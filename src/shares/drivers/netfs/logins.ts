// Refused logins of NetFS, which counts none: too many of them lock an account. Before NetFS logs in, mountaineer-fs checks the
// login, because it counts refusals together with all programs of the home. A password of the Keychain only macOS can try.
import { join } from "node:path";
import { entryExists } from "../../../runtime/files/durable-file.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ProgramCommands } from "../../program/commands.ts";
import { isKeychainLogin, type RouteName, type ShareSpec } from "../../share-spec.ts";
import type { MountOutcome, MountPlan } from "../mount-driver.ts";
import { type Failed, failed, failedByProgram } from "../mount-failure.ts";
import { shareFiles } from "../share-files.ts";

/** The file in a share's folder by which mountaineer-fs recognizes its server. */
const SERVER_RECORD = "server.json";
/** After a refused login, how long none is tried automatically, ms. */
const PAUSE_MS = 3_600_000;

interface LoginTools {
  readonly clock: Clock;
  readonly stateFolder: string;
  readonly commands: Pick<ProgramCommands, "compareServers">;
}

interface Attempt {
  readonly share: ShareSpec;
  readonly route: RouteName;
  readonly plan: MountPlan;
  readonly signal: AbortSignal;
}

export function createNetfsLogins({ clock, stateFolder, commands }: LoginTools) {
  const refusals = new Map<string, { readonly atMs: number; readonly text: string }>();
  const loginOf = ({ share, route }: Attempt): string => {
    const { username, password, routes } = share;
    return JSON.stringify([routes[route].host?.toLowerCase(), username, password]);
  };

  return {
    /** Why NetFS is not to log in now; null: it may. */
    async obstacle(attempt: Attempt): Promise<Failed | null> {
      const { share, route, plan, signal } = attempt;
      const refusal = refusals.get(loginOf(attempt));
      const isPaused = refusal !== undefined && clock.monotonicMs() - refusal.atMs < PAUSE_MS;
      if (isPaused && !plan.logInNow) return failed("wrong_credentials", refusal.text);
      const { logInNow, newServer } = plan;
      const endpoint = plan.signIn.endpoints[route];
      if (isKeychainLogin(share) || endpoint === undefined) return null;
      const signIn = { ...plan.signIn, endpoints: { [route]: endpoint } };
      const isRecorded = await entryExists(join(shareFiles(stateFolder, share.name).folder, SERVER_RECORD));
      const request = { signIn, shareName: share.shareName, logInNow, newServer };
      const found = await commands.compareServers(request, signal);
      if (found.ok && found.verdict === "different")
        return failed("different_server", found.text ?? "another server answers");
      const failure = found.ok ? found.failures[route] : found;
      if (failure === undefined) return null;
      const isRefusal = failure.code === "logon_failure" || failure.code === "logon_held";
      // NetFS may reach another server than the recorded one, which did not answer here.
      return isRefusal || (isRecorded && !newServer)
        ? failedByProgram({ code: failure.code ?? "other", text: failure.text })
        : null;
    },
    /** Notes how NetFS's login has ended. */
    ended(attempt: Attempt, outcome: MountOutcome): void {
      if (outcome.ok) refusals.delete(loginOf(attempt));
      else if (outcome.reason === "wrong_credentials")
        refusals.set(loginOf(attempt), { atMs: clock.monotonicMs(), text: outcome.text });
    },
  };
}
