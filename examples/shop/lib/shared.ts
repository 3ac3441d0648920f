// What carts and stock say to each other.

import { EddyError } from "eddy";

/** Where a line of a cart stands. */
export type Status =
  | "asked" // the stock has been asked
  | "held" // reserved, until it expires
  | "refused" // the stock had too little
  | "expired" // held too long; the stock took it back
  | "buying" // checked out; the stock has been told
  | "bought" // sold: final
  | "removing"; // given back; the stock has been told

/** What the stock answers about a reservation. */
export type Answer = "held" | "refused" | "expired" | "bought" | "released";

export interface Line {
  id: string;
  sku: string;
  qty: number;
  status: Status;
}

/** Checks a number that came from outside. A throw discards everything that its turn did. */
export function positive(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  throw new EddyError("bad-request", `${what} must be a whole number above 0`, { status: 400 });
}
