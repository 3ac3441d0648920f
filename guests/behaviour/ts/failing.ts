// Errors that are thrown on purpose.

import { EddyError, fn } from "eddy";

interface Failing {
  code: string;
  message: string;
  status?: number;
  details?: unknown;
}

export const fail = fn((ctx, { code, message, status, details }: Failing) => {
  throw new EddyError(code, message, { status, details });
});

export const fail_plain = fn((ctx, { message }: { message: string }) => {
  throw new Error(message);
});
