// The texts with which a machine signs in to NATS: the seed of an nkey, or a JWT with one.

export type Credentials =
  | { readonly kind: "nkey"; readonly seed: string }
  | { readonly kind: "jwt"; readonly jwt: string; readonly seed: string };

const SEED = /^SU[A-Z2-7]{56}$/;
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const BLOCK = /-{3,}BEGIN [^-\r\n]+-{3,}\s+(\S+)\s+-{3,}END [^-\r\n]+-{3,}/g;

/** Null: it is neither. */
export function readCredentials(secret: string): Credentials | null {
  const text = secret.trim();
  if (SEED.test(text)) return { kind: "nkey", seed: text };
  const [jwt, seed] = [...text.slice(0, LONGEST).matchAll(BLOCK)].map(([, content = ""]) => content);
  if (jwt === undefined || seed === undefined || !JWT.test(jwt) || !SEED.test(seed)) return null;
  return { kind: "jwt", jwt, seed };
}

const LONGEST = 64 * 1024;
