// Refused logins of NetFS, which counts none: too many of them lock an account. Before NetFS logs in, mountaineer-fs checks the
// login, because it counts refusals together with all programs of the home. A password of the Keychain only macOS can try.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ProgramCommands } from "../../program/commands.ts";
import { isKeychainLogin, type RouteName, type ShareSpec } from "../../share-spec.ts";
import type { MountOutcome, MountPlan } from "../mount-driver.ts";
import { type Failed, failed, failedByProgram } from "../mount-failure.ts";
import { shareFiles } from "../share-files.ts";

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
      const endpoint = plan.endpoints[route];
      if (isKeychainLogin(share) || endpoint === undefined) return null;
      const { shareName, username, password } = share;
      const found = await commands.compareServers(
        {
          ...{ shareName, username, password, endpoints: { [route]: endpoint } },
          ...{ logInNow: plan.logInNow, newServer: plan.newServer },
          folder: shareFiles(stateFolder, share.name).folder,
        },
        signal,
      );
      if (!found.ok) return null;
      if (found.verdict === "different")
        return failed("different_server", found.text ?? "another server answers");
      const failure = found.failures[route];
      const isRefusal = failure?.code === "logon_failure" || failure?.code === "logon_held";
      return isRefusal ? failedByProgram(failure) : null;
    },
    /** Notes how NetFS's login has ended. */
    ended(attempt: Attempt, outcome: MountOutcome): void {
      if (outcome.ok) refusals.delete(loginOf(attempt));
      else if (outcome.reason === "wrong_credentials")
        refusals.set(loginOf(attempt), { atMs: clock.monotonicMs(), text: outcome.text });
    },
  };
}
