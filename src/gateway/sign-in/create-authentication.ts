// Picks how clients are authenticated, by the configuration.
import type { IncomingAuthConfig, ServerConfig } from "../../config/snapshot.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  ANYBODY,
  type Authenticator,
  authenticateUsers,
  readLocalUsers,
  TokensUsed,
} from "../middleware/incoming-auth.ts";
import { createSignedAuthentication, type SignedProofs } from "./signed-authentication.ts";

/** What everybody came with, kept over all configurations: each tells whether it still lets in. */
export interface Proofs {
  readonly local: TokensUsed;
  readonly signed: SignedProofs;
}

export function createProofs(): Proofs {
  return { local: new TokensUsed(), signed: new WeakMap() };
}

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
  readonly proofs: Proofs;
}

export function createAuthentication(
  config: IncomingAuthConfig,
  { environment, redact, before, proofs, ...rest }: AuthenticationOptions,
): Authenticator {
  if (config.type === "anonymous") return ANYBODY;
  const users = readLocalUsers(config.users, environment, redact, proofs.local);
  if (config.type === "local") return authenticateUsers(users);
  return createSignedAuthentication({
    ...rest,
    tokens: config.tokens,
    users,
    proofs: proofs.signed,
    last: before?.signed?.lastKeys ?? null,
  });
}
