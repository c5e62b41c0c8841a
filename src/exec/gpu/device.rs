//! Graphics adapters: which there are, and one that is opened, with the pipelines made for it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rayon::prelude::*;
use wgpu::{
    Backend, Backends, BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry,
    BindingType, Buffer, BufferBindingType, ComputePipeline, ComputePipelineDescriptor, DeviceType,
    Features, Instance, InstanceDescriptor, Limits, PipelineCompilationOptions, PipelineLayout,
    PipelineLayoutDescriptor, PollType, ShaderModuleDescriptor, ShaderSource, ShaderStages,
    SubmissionIndex,
};

use super::allocation::Allocations;
use super::fault::Faults;
use super::shader::{Precision, Shader};
use super::staging::PATIENCE;
use super::trusted::{Checks, module};
use super::tuning::Tuning;
use crate::exec::ExecError;

/// Members of the kernels' uniform buffers lie at multiples of so many bytes, which every device takes.
pub(super) const SLOT: usize = 512;

/// An adapter, not opened.
#[derive(Clone, Debug)]
pub struct Adapter {
    inner: wgpu::Adapter,
    /// What is known of it.
    pub facts: Facts,
}

/// What is known of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// As its driver calls it.
    pub name: String,
    pub kind: AdapterKind,
    /// `Vulkan`, `Metal` or `DirectX 12`.
    pub backend: &'static str,
    /// The driver's name and version.
    pub driver: String,
    /// `0000:01:00.0`, if it is known.
    pub pci: Option<String>,
    /// The most memory that a kernel can see at once, in bytes.
    pub binding: u64,
    /// The memory of a workgroup, in bytes.
    pub workgroup: u64,
    /// Whether it computes with float16.
    pub half: bool,
    /// Whether threads of a subgroup can exchange numbers, and the sizes of subgroups.
    pub subgroups: Option<[u32; 2]>,
}

/// What an adapter is made of. In the order in which they are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A graphics card.
    Discrete,
    /// Part of a processor.
    Integrated,
    /// Of a virtual machine.
    Virtual,
    /// Not told.
    Other,
    /// A program that computes on the CPU.
    Software,
}

/// The adapters of this machine, those that are preferred first. Empty if there is no driver, or no loader of drivers.
pub fn adapters() -> Vec<Adapter> {
    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::VULKAN | Backends::METAL | Backends::DX12,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let found = pollster::block_on(instance.enumerate_adapters(Backends::all()));
    let mut adapters: Vec<Adapter> = found
        .into_iter()
        .map(|inner| Adapter {
            facts: Facts::of(&inner),
            inner,
        })
        .collect();
    adapters.sort_by_key(|adapter| adapter.facts.kind);
    adapters
}

impl Facts {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let (limits, features) = (adapter.limits(), adapter.features());
        let driver = format!("{} {}", info.driver, info.driver_info);
        Self {
            name: info.name,
            kind: match info.device_type {
                DeviceType::DiscreteGpu => AdapterKind::Discrete,
                DeviceType::IntegratedGpu => AdapterKind::Integrated,
                DeviceType::VirtualGpu => AdapterKind::Virtual,
                DeviceType::Cpu => AdapterKind::Software,
                DeviceType::Other => AdapterKind::Other,
            },
            backend: match info.backend {
                Backend::Vulkan => "Vulkan",
                Backend::Metal => "Metal",
                Backend::Dx12 => "DirectX 12",
                _ => "other",
            },
            driver: driver.trim().to_owned(),
            pci: Some(info.device_pci_bus_id).filter(|id| !id.is_empty()),
            binding: limits.max_storage_buffer_binding_size,
            workgroup: u64::from(limits.max_compute_workgroup_storage_size),
            half: features.contains(Features::SHADER_F16),
            subgroups: features
                .contains(Features::SUBGROUP)
                .then_some([info.subgroup_min_size, info.subgroup_max_size]),
        }
    }
}

impl Adapter {
    /// All limits that it offers.
    pub(super) fn limits(&self) -> Limits {
        self.inner.limits()
    }

    /// How kernels are cut for it, or for an adapter of another kind, if everything that it offers is used.
    pub(super) fn tuning(&self, kind: AdapterKind) -> Tuning {
        // Of subgroups of other sizes none was tried, and of those of many sizes nobody knows which one they get.
        let exchanges = self.facts.subgroups == Some([8, 8]);
        Tuning::of(kind, self.facts.workgroup as usize, exchanges)
    }
}

/// An adapter that is opened.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) precision: Precision,
    pub(super) limits: Limits,
    pub(super) tuning: Tuning,
    network: Layout,
    around: Layout,
    pipelines: Mutex<HashMap<Shader, ComputePipeline>>,
    pub(super) buffers: Arc<Allocations>,
    pub(super) faults: Arc<Faults>,
    adapter: Adapter,
    checks: Checks,
}

/// What kernels are given.
#[derive(Debug)]
struct Layout {
    bindings: BindGroupLayout,
    pipeline: PipelineLayout,
}

impl Device {
    /// Opens an adapter, with kernels cut as they are told to be.
    ///
    /// # Errors
    /// Fails if it has no float16 and that was asked for, or the driver fails.
    pub(super) fn open(
        adapter: &Adapter,
        precision: Precision,
        limits: Limits,
        tuning: Tuning,
        checks: Checks,
    ) -> Result<Self, ExecError> {
        let name = adapter.facts.name.clone();
        let failed = |message: String| ExecError::Device {
            device: name.clone(),
            message,
        };
        let needed = match precision {
            Precision::Single => Features::empty(),
            Precision::Half if adapter.facts.half => Features::SHADER_F16,
            Precision::Half => return Err(ExecError::NoHalf { device: name }),
        };
        let needed = match tuning.exchange {
            Some(_) => needed | Features::SUBGROUP,
            None => needed,
        };
        let request = adapter.inner.request_device(&wgpu::DeviceDescriptor {
            label: Some("bundle"),
            // Timestamps cost nothing where none are taken.
            required_features: needed | adapter.inner.features() & Features::TIMESTAMP_QUERY,
            required_limits: limits.clone(),
            ..Default::default()
        });
        let (device, queue) =
            pollster::block_on(request).map_err(|error| failed(error.to_string()))?;
        let faults = Faults::of(&device);
        let written = [BufferBindingType::Storage { read_only: false }];
        let read = [BufferBindingType::Storage { read_only: true }];
        let uniform = [BufferBindingType::Uniform];
        Ok(Self {
            network: Layout::new(&device, &[written, read, written, uniform].concat()),
            around: Layout::new(&device, &[written, read, read, written, uniform].concat()),
            name,
            device,
            queue,
            precision,
            tuning,
            limits,
            pipelines: Mutex::default(),
            buffers: Arc::default(),
            faults,
            adapter: adapter.clone(),
            checks,
        })
    }

    /// Opens the same adapter again, as it was opened before: for when the device was lost.
    ///
    /// # Errors
    /// Fails if the driver does.
    pub(super) fn reopened(&self) -> Result<Self, ExecError> {
        let limits = self.limits.clone();
        let opened = Self::open(
            &self.adapter,
            self.precision,
            limits,
            self.tuning,
            self.checks,
        )?;
        opened.buffers.set_cap(self.buffers.cap());
        Ok(opened)
    }

    pub(super) fn failure(&self, message: impl Into<String>) -> ExecError {
        ExecError::Device {
            device: self.name.clone(),
            message: message.into(),
        }
    }

    /// Whether it notes the time before and after passes.
    pub(super) fn has_timestamps(&self) -> bool {
        self.device.features().contains(Features::TIMESTAMP_QUERY)
    }

    /// Fails if anything has gone wrong on the device.
    pub(super) fn check(&self) -> Result<(), ExecError> {
        match self.faults.first() {
            Some(fault) => Err(fault.on(&self.name)),
            None => Ok(()),
        }
    }

    /// Goes on after memory was missing.
    pub(super) fn forget_missing_memory(&self) {
        self.faults.forget_missing_memory();
    }

    /// A result of wgpu's; what has gone wrong on the device is the better reason.
    pub(super) fn checked<T, E: ToString>(&self, result: Result<T, E>) -> Result<T, ExecError> {
        result.map_err(|error| {
            // That a device is lost is said when all that it had to do is done.
            let _ = self.waited(None);
            match self.check() {
                Err(cause) => cause,
                Ok(()) => self.failure(error.to_string()),
            }
        })
    }

    /// Waits for a submission and all before it, or for all that there are.
    pub(super) fn wait(&self, index: Option<SubmissionIndex>) -> Result<(), ExecError> {
        let waited = self.waited(index);
        self.check()?;
        self.checked(waited)
    }

    fn waited(&self, submission_index: Option<SubmissionIndex>) -> Result<(), String> {
        let poll = || {
            self.device.poll(PollType::Wait {
                submission_index,
                timeout: None,
            })
        };
        // wgpu panics where a driver says while it is waited for that the device is lost; its callback has heard of it then.
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it cannot be waited for".to_owned()),
        }
    }

    /// Waits for a buffer to be mapped that the device has done with.
    pub(super) fn received(
        &self,
        mapped: &mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    ) -> Result<(), ExecError> {
        if let Ok(received) = mapped.try_recv() {
            return self.checked(received);
        }
        // Nobody has looked at the device since it was done.
        self.wait(None)?;
        let received = self.checked(mapped.recv_timeout(PATIENCE))?;
        self.checked(received)
    }

    /// The pipelines of shaders, in their order: those that are not there yet are made, in parallel.
    pub(super) fn pipelines(&self, shaders: &[&Shader]) -> Result<Vec<ComputePipeline>, ExecError> {
        let mut kept = self
            .pipelines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut missing: Vec<&Shader> = Vec::new();
        for shader in shaders {
            if !kept.contains_key(*shader) && !missing.contains(shader) {
                missing.push(shader);
            }
        }
        let made: Vec<ComputePipeline> = missing
            .par_iter()
            .map(|shader| self.pipeline(shader))
            .collect();
        self.check()?;
        kept.extend(missing.into_iter().cloned().zip(made));
        Ok(shaders
            .iter()
            .filter_map(|shader| kept.get(*shader).cloned())
            .collect())
    }

    fn pipeline(&self, shader: &Shader) -> ComputePipeline {
        let label = shader.kernel.name();
        let description = ShaderModuleDescriptor {
            label: Some(label),
            source: ShaderSource::Wgsl(shader.text(self.precision).into()),
        };
        let module = module(&self.device, description, self.checks);
        let layout = match shader.kernel.is_around() {
            true => &self.around,
            false => &self.network,
        };
        let options = PipelineCompilationOptions {
            // Every kernel writes its workgroup's memory before it reads it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        self.device
            .create_compute_pipeline(&ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&layout.pipeline),
                module: &module,
                entry_point: Some("main"),
                compilation_options: options,
                cache: None,
            })
    }

    /// Binds buffers to the kernels of a network, or to those around it; the last, of which `SLOT` bytes are seen, has a
    /// dynamic offset.
    pub(super) fn bind(&self, around: bool, buffers: &[&Buffer]) -> wgpu::BindGroup {
        let layout = if around { &self.around } else { &self.network };
        let last = buffers.len() - 1;
        let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
            .iter()
            .enumerate()
            .map(|(index, buffer)| wgpu::BindGroupEntry {
                binding: index as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: wgpu::BufferSize::new(if index == last { SLOT as u64 } else { 0 }),
                }),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout.bindings,
            entries: &entries,
        })
    }
}

impl Layout {
    fn new(device: &wgpu::Device, kinds: &[BufferBindingType]) -> Self {
        let entry = |(binding, kind): (usize, &BufferBindingType)| BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty: *kind,
                has_dynamic_offset: *kind == BufferBindingType::Uniform,
                min_binding_size: None,
            },
            count: None,
        };
        let entries: Vec<BindGroupLayoutEntry> = kinds.iter().enumerate().map(entry).collect();
        let bindings = device.create_bind_group_layout(&BindGroupLayoutDescriptor {
            label: None,
            entries: &entries,
        });
        let pipeline = device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { bindings, pipeline }
    }
}
