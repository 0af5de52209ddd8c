// What a server's answer to SESSION_SETUP says of the login ([MS-ERREF] 2.3.1).

export const STATUS_MORE_PROCESSING_REQUIRED = 0xc0000016;

const REFUSALS: ReadonlyMap<number, string> = new Map([
  [0xc0000022, "access denied"],
  [0xc0000064, "no such user"],
  [0xc000006a, "wrong password"],
  [0xc000006d, "wrong user name or password"],
  [0xc000006e, "the account is restricted"],
  [0xc000006f, "not at this time of day"],
  [0xc0000070, "not from this machine"],
  [0xc0000071, "the password has expired"],
  [0xc0000072, "the account is disabled"],
  [0xc0000133, "this machine's clock differs too much"],
  [0xc0000155, "the logon is not granted"],
  [0xc000015b, "the user may not log in over the network"],
  [0xc0000193, "the account has expired"],
  [0xc0000224, "the password must be changed"],
  [0xc0000234, "the account is locked"],
]);

/** The refusal in words; null: the login was not refused, whatever else may have failed. */
export function logonRefusal(status: number): string | null {
  return REFUSALS.get(status) ?? null;
}
