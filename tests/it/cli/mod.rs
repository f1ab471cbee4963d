//! The program as it is typed: its output, its errors and their exit codes.
