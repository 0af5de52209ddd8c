// An address of a server, and its text. Pure.

export interface HostAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

export const SMB_PORT = 445;

/** The address in the configuration's notation; the port only if it is not 445. */
export function hostText(address: HostAddress): string {
  if (address.port === SMB_PORT) return address.host;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
