// Picks how clients are authenticated, by the configuration.
import type { IncomingAuthConfig, ServerConfig } from "../../config/snapshot.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  ANYBODY,
  type Authenticator,
  authenticateUsers,
  readLocalUsers,
} from "../middleware/incoming-auth.ts";
import { createSignedAuthentication } from "./signed-authentication.ts";

interface AuthenticationOptions {
  readonly server: Pick<ServerConfig, "host" | "port" | "publicUrl">;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Gets each token of the configuration, so that no log line ever shows one. */
  readonly redact: (secret: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly listens: boolean;
  /** What it takes over from; null: nothing. */
  readonly before: Authenticator | null;
}

export function createAuthentication(
  config: IncomingAuthConfig,
  { environment, redact, before, ...rest }: AuthenticationOptions,
): Authenticator {
  if (config.type === "anonymous") return ANYBODY;
  const users = readLocalUsers(config.users, environment, redact);
  if (config.type === "local") return authenticateUsers(users);
  return createSignedAuthentication({
    ...rest,
    tokens: config.tokens,
    users,
    last: before?.signed?.lastKeys ?? null,
  });
}
