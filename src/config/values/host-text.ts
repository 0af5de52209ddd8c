// An address of a server, and its text. Pure.

export interface HostAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

export const SMB_PORT = 445;

/** The way the address is written in a configuration; the port only when it is not 445. */
export function hostText(address: HostAddress): string {
  if (address.port === SMB_PORT) return address.host;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
