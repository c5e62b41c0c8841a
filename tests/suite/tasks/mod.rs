//! Everything around a network that decides the numbers, against what HiTMicTools, MONAI and PyTorch make of them
//! (`tests/tasks/make.py`).

mod cases;
mod facts;
mod plain_session;
